export default function Profile() {
  return (
    <form method="post" action="/profile/send">
      <input name="name" />
      <button id="send">Send</button>
    </form>
  );
}
