import { redirectTo } from '../../../lib/redirect';
import { findUser, signIn } from '../../../lib/store';

export async function POST(request) {
  const user = findUser(Object.fromEntries(await request.formData()));
  if (!user) return redirectTo('/sign-in');
  await signIn(user);
  return redirectTo('/'); // the next page identifies
}
