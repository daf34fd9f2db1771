// analytics-next as published. Its settings come from here, not from a CDN.
import { AnalyticsBrowser } from '@segment/analytics-next';

const analytics = AnalyticsBrowser.load(
  { writeKey: 'e2e', cdnSettings: { integrations: { 'Segment.io': { apiKey: 'e2e', apiHost: 'tracker.test/v1' } } } },
);
analytics.page();

window.analytics = analytics;
window.tag = {
  track: async (event) => void (await analytics.track(event)),
  identify: async (user) => void (await analytics.identify(user)),
  reset: async () => void (await analytics.reset()),
};
