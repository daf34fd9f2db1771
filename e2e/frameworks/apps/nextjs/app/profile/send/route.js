import { redirectTo } from '../../../lib/redirect';
import { currentUser, rename } from '../../../lib/store';

export async function POST(request) {
  const user = await currentUser();
  if (user) rename(user.id, (await request.formData()).get('name'));
  return redirectTo('/'); // the next page identifies with the new name
}
