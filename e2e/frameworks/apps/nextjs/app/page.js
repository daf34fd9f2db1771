import { currentUser } from '../lib/store';
import { requestBrochure } from './actions';
import Newsletter from './newsletter';

export default async function Home() {
  const user = await currentUser();
  return (
    <>
      <h1>{user ? `Hello ${user.name || user.email}` : 'Welcome'}</h1>
      <form method="post" action="/order"><button id="order">Buy now</button></form>
      <form action={requestBrochure}><button id="brochure">Send me the brochure</button></form>
      <Newsletter />
    </>
  );
}
