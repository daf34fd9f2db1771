'use server';

import { redirect } from 'next/navigation';
import { trackFromServer } from '../intilery';
import { currentUser } from '../lib/store';

export async function requestBrochure() {
  await trackFromServer('Brochure Requested', { season: 'autumn' }, await currentUser());
  redirect('/');
}
