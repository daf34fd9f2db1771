import { track } from '../../intilery';
import { redirectTo } from '../../lib/redirect';

export async function POST() {
  const response = redirectTo('/');
  track(response, 'Order Completed', { total: 38, currency: 'GBP' });
  track(response, 'Coupon Used', { code: 'TEA10' });
  return response;
}
