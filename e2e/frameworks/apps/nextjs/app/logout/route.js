import { reset, track } from '../../intilery';
import { redirectTo } from '../../lib/redirect';
import { currentUser, signOut } from '../../lib/store';

export async function POST() {
  const user = await currentUser();
  await signOut();
  const response = redirectTo('/');
  if (user) { // a guest has nothing to reset
    track(response, 'Signed Out');
    reset(response);
  }
  return response;
}
