// The classic tag as its readers see it: analytics.js-core and the integration
// that sends its calls, both as published.
import analytics from '@segment/analytics.js-core';
import Segment from '@segment/analytics.js-integration-segmentio';

analytics.use(Segment);
analytics.initialize({ 'Segment.io': { apiKey: 'e2e', apiHost: 'tracker.test/v1' } });
analytics.page();

window.analytics = analytics;
window.tag = {
  track: (event) => void analytics.track(event),
  identify: (user) => void analytics.identify(user),
  reset: () => void analytics.reset(),
};
