export default function SignUp() {
  return (
    <form method="post" action="/sign-up/send">
      <input name="email" /> <input name="name" /> <input name="password" type="password" />
      <button id="send">Send</button>
    </form>
  );
}
