// Trying a case anew, since a browser is not ours to steady.
import { Circumstance } from './case.mjs';
import { UNSTEADY } from './table.mjs';

// A case fails with its second failure; one that passes after the first is
// reported as unsteady. It also fails when the browser's own circumstances have
// ended it three times.
const FAILURES = 2;
const CIRCUMSTANCES = 3;

/** Runs a case of the test t until it passes or has failed too often. */
export async function steadily(t, run) {
  for (let failures = 0, circumstances = 0; ;) {
    try {
      return await run();
    } catch (err) {
      const circumstance = err instanceof Circumstance;
      if (circumstance ? ++circumstances === CIRCUMSTANCES : ++failures === FAILURES) throw err;
      t.diagnostic(`${circumstance ? 'again' : UNSTEADY}: ${err.message}`);
    }
  }
}
