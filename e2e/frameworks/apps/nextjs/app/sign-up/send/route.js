import { identify, track } from '../../../intilery';
import { redirectTo } from '../../../lib/redirect';
import { createUser, signIn } from '../../../lib/store';

export async function POST(request) {
  const user = createUser(Object.fromEntries(await request.formData()));
  await signIn(user);
  const response = redirectTo('/');
  identify(response, user); // the proxy ran before there was a user
  track(response, 'Signed Up', { plan: 'free' });
  return response;
}
