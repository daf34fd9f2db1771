// The classic tag as a script of its own: analytics.js-core and the integration
// that sends its calls, which makes the calls that the page has queued.
import analytics from '@segment/analytics.js-core';
import Segment from '@segment/analytics.js-integration-segmentio';

const queue = window.analytics;
if (!(queue && queue.initialized)) {
  window.analytics = analytics;
  analytics.use(Segment);
  analytics.initialize({ 'Segment.io': intilery.settings.integrations['Segment.io'] }, (queue && queue._loadOptions) || {});
  while (queue && queue.length > 0) {
    const [method, ...args] = queue.shift();
    try {
      if (analytics[method]) analytics[method](...args);
    } catch (err) {
      console.error(err); // one bad call must not cost the others
    }
  }
}
