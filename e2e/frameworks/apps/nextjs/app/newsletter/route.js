import { track } from '../../intilery';

export async function POST(request) {
  const { list } = await request.json();
  const response = Response.json({ subscribed: true });
  track(response, 'Newsletter Subscribed', { list });
  return response;
}
