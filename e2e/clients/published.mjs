// SDKs as their makers publish them.
import { Analytics } from '@segment/analytics-node';
import RudderAnalytics from '@rudderstack/rudder-sdk-node';

// Both send several batches at once, so that one which is tried again comes later:
// batch says which one an event is in, by its number.
export const published = {
  '@segment/analytics-node': (site) => {
    const analytics = new Analytics({ writeKey: 'secret-key', host: site, path: '/in/v1/batch', maxRetries: 100, flushAt: 10, flushInterval: 100 });
    analytics.on('error', () => {}); // it tries again; what it gives up is missed below
    return {
      track: (event) => analytics.track(event),
      flush: () => analytics.closeAndFlush({ timeout: 60_000 }),
      batch: (n) => Math.floor(n / 10),
    };
  },
  '@rudderstack/rudder-sdk-node': (site) => {
    const analytics = new RudderAnalytics('secret-key', {
      dataPlaneUrl: `${site}/in`, flushAt: 10, flushInterval: 100, logLevel: 'silent', axiosRetryConfig: { retries: 100, retryDelay: () => 100 },
    });
    return {
      track: (event) => analytics.track(event),
      flush: () => analytics.flush(),
      batch: (n) => n, // its flush returns before what is tried again has gone
    };
  },
};
