export default function SignIn() {
  return (
    <form method="post" action="/sign-in/send">
      <input name="email" /> <input name="password" type="password" />
      <button id="send">Send</button>
    </form>
  );
}
