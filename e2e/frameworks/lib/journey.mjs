// The ways that people take through any app, by its description, and what must arrive
// of them. What an app must provide, as the argument of suite() in a <name>.test.mjs:
//
//   title     the framework with its version, as in "Express 5"
//   page      its page below docs/frameworks; every file named there is put beside the app
//   caddyfile which of the page's configurations, if it has several; by default Caddyfile
//   dir       the folder of the app, copied for each run: apps/<name>/, if there is one. Its
//             packages of npm come from apps/<name>/package-lock.json, those of Debian from
//             run.sh
//   places    ({ dir, port, more }) => { documented: actual }: addresses and folders of the
//             page's Caddyfile and what they are here; localhost:8080 and localhost:8081 are
//             known
//   edit      (caddyfile, recipe) => that Caddyfile as the page has its reader change it
//   choices   { '<your path>': 'x7' }: what the reader of the page is to choose
//   start     async ({ dir, port, more }) => [process, ...] of lib/process.mjs, the app
//             listening on port; more is another free port. Whatever comes before
//             (migrations, caches) is done in it, awaited
//   ready     a path that answers below 400 when the app is ready; absent if localhost is no
//             site of the page
//   home      the path of a public page with all buttons; homeName is its Intilery-Page
//   other     the path of another page
//   public    the path of a page that the app marks as public, for caches
//   person    (n) => the members of the nth person that forms fill in; name may be empty
//   nameless  the members of a person who does not say a name
//   over      true if one can sign in while somebody else still is
//   changed   the members that the profile's form changes, beside those of the person
//   traits    (person) => the traits that the recipe makes of them, without empty ones
//   forms     each { at, fill: { selector: member }, hover, press: selector, shows }: the page it
//             is on (absent: the present one), what to fill in, what to point at so that the
//             button shows, the button, and, if the form is sent by a script, what then appears:
//             signUp, signIn, profile, logOut, order, ajax; guestLogOut if a guest may find it
//   tracks    { signUp, signIn, logOut, order, ajax }: the names of the events that each form
//             makes, as arrays in their order; those that are absent make none
//   admin     { person, signIn, pages, logOut }: an administrator's members, the form to sign in
//             by, the paths that Caddyfile leaves out, the form by which to leave
//
// A case that an app has no form for is skipped.
import assert from 'node:assert/strict';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

const UTM = '?utm_source=newsletter&utm_medium=email&utm_campaign=autumn';

const identifies = (events) => events.filter((e) => e.type === 'identify');
const names = (events) => events.filter((e) => e.type === 'track').map((e) => e.name);
const tracks = (app, form) => app.tracks?.[form] ?? [];

/** Waits for all events of a form, and asserts whose they are. */
async function tracked(app, visitor, form, userId) {
  for (const name of tracks(app, form)) {
    const { userId: of } = await visitor.track(name);
    assert.equal(of, userId, `${name} belongs to the user`);
  }
}

/** A new browser that signs up, which returns it with its person and userId. */
async function signedUp(app, c, members = {}) {
  const visitor = await c.visitor();
  const person = { ...c.person(), ...members };
  await visitor.open(app.home);
  await visitor.submit(app.forms.signUp, person);
  const { userId } = await visitor.identify();
  return { visitor, person, userId };
}

export const journeys = [
  {
    name: 'a first visit by a campaign is a page event with a name and its campaign, and the ID stays',
    async run(app, c) {
      const visitor = await c.visitor();
      const id = await visitor.open(app.home + UTM);
      assert.match(id ?? '', UUID);
      const page = await visitor.pageEvent(app.home);
      assert.equal(page.anonymousId, id);
      assert.equal(page.userId, undefined);
      assert.equal(page.page.search, UTM);
      assert.deepEqual(page.campaign, { source: 'newsletter', medium: 'email', name: 'autumn' });
      if (app.homeName) assert.equal(page.name, app.homeName);
      assert.equal(await visitor.open(app.other), id);
      assert.equal((await visitor.pageEvent(app.other)).page.path, app.other);
      assert.deepEqual(identifies(await visitor.all(app.home)), [], 'a guest is not identified');
    },
  },
  {
    name: 'a sign-up identifies the visitor under the ID of the first visit, once',
    needs: ['signUp'],
    async run(app, c) {
      const visitor = await c.visitor();
      const person = c.person();
      const first = await visitor.open(app.home);
      assert.equal(await visitor.submit(app.forms.signUp, person), first);
      const identify = await visitor.identify();
      assert.equal(identify.anonymousId, first);
      assert.ok(identify.userId, 'it has a userId');
      assert.deepEqual(identify.traits, app.traits(person));
      await tracked(app, visitor, 'signUp', identify.userId);
      await visitor.open(app.other);
      const events = await visitor.all(app.home);
      assert.equal(identifies(events).length, 1, 'one identify, since nothing changed');
      assert.deepEqual(names(events), tracks(app, 'signUp'));
      assert.equal(events.at(-1).userId, identify.userId, 'later pages are the user\'s');
      const order = events.filter((e) => e.type === 'identify' || e.type === 'track').map((e) => e.type);
      assert.equal(order[0], 'identify', 'the identify is before the track of its response');
      await c.profile(identify.userId, { anonymousIds: [first], traits: app.traits(person) });
    },
  },
  {
    name: 'a page that caches may share names nobody',
    needs: ['signUp', 'public'],
    async run(app, c) {
      const { visitor } = await signedUp(app, c);
      await visitor.open(app.public);
      await visitor.pageEvent(app.public);
      assert.equal(identifies(await visitor.all(app.home)).length, 1);
    },
  },
  {
    name: 'what is not known of a user is no trait',
    needs: ['signUp', 'nameless'],
    async run(app, c) {
      const { visitor, person } = await signedUp(app, c, app.nameless);
      const { traits } = await visitor.identify();
      assert.deepEqual(traits, app.traits(person));
      for (const [name, value] of Object.entries(traits)) {
        assert.ok(value !== '' && value !== null, `${name} is not empty`);
      }
    },
  },
  {
    name: 'a changed profile is identified anew, once',
    needs: ['signUp', 'profile'],
    async run(app, c) {
      const { visitor, person, userId } = await signedUp(app, c);
      const now = { ...person, ...app.changed };
      await visitor.submit(app.forms.profile, now);
      await visitor.open(app.other);
      const events = identifies(await visitor.all(app.home));
      assert.deepEqual(events.map((e) => e.traits), [app.traits(person), app.traits(now)]);
      assert.deepEqual(events.map((e) => e.userId), [userId, userId]);
      await c.profile(userId, { traits: app.traits(now) });
    },
  },
  {
    name: 'an order makes its events in their order, as the user\'s',
    needs: ['signUp', 'order'],
    async run(app, c) {
      const { visitor, userId } = await signedUp(app, c);
      await visitor.submit({ at: app.home, ...app.forms.order });
      await tracked(app, visitor, 'order', userId);
      const events = await visitor.all(app.home);
      assert.deepEqual(names(events), [...tracks(app, 'signUp'), ...tracks(app, 'order')]);
      assert.equal(identifies(events).length, 1);
    },
  },
  {
    name: 'a form sent by a script makes its event, on the page that the visitor is on',
    needs: ['ajax'],
    async run(app, c) {
      const visitor = await c.visitor();
      const id = await visitor.open(app.home);
      await visitor.submit(app.forms.ajax, c.person());
      const [name] = tracks(app, 'ajax');
      const event = await visitor.track(name);
      assert.equal(event.anonymousId, id);
      assert.equal(event.page.path, app.forms.ajax.at ?? app.home);
    },
  },
  {
    name: 'a second browser that signs in becomes the same user',
    needs: ['signUp', 'signIn'],
    async run(app, c) {
      const { visitor, person, userId } = await signedUp(app, c);
      const phone = await c.visitor();
      const id = await phone.open(app.home);
      const [first] = visitor.ids;
      assert.notEqual(id, first);
      assert.equal(await phone.submit(app.forms.signIn, person), id);
      const identify = await phone.identify();
      assert.deepEqual([identify.anonymousId, identify.userId], [id, userId]);
      assert.deepEqual(identify.traits, app.traits(person));
      await tracked(app, phone, 'signIn', userId);
      await c.profile(userId, { anonymousIds: [first, id] });
    },
  },
  {
    name: 'after a logout the next person at the browser is somebody else',
    needs: ['signUp', 'logOut'],
    async run(app, c) {
      const { visitor, userId } = await signedUp(app, c);
      const [mine] = visitor.ids;
      await visitor.submit({ at: app.home, ...app.forms.logOut });
      const next = await visitor.open(app.home);
      assert.match(next ?? '', UUID);
      assert.notEqual(next, mine);
      for (const name of tracks(app, 'logOut')) {
        const event = await visitor.track(name);
        assert.deepEqual([event.anonymousId, event.userId], [mine, userId], 'the logout belongs to who leaves');
      }
      const page = await visitor.pageEvent(app.home, (e) => e.anonymousId === next);
      assert.equal(page.userId, undefined);
      await visitor.submit(app.forms.signUp, c.person());
      const other = await visitor.identify((e) => e.userId !== userId);
      assert.equal(other.anonymousId, next);
      await c.profile(userId, { anonymousIds: [mine] });
      await c.profile(other.userId, { anonymousIds: [next] });
    },
  },
  {
    name: 'a user who signs in over another gets an ID of their own',
    needs: ['signUp', 'signIn', 'over'],
    async run(app, c) {
      const { visitor, userId } = await signedUp(app, c);
      const [mine] = visitor.ids;
      const { person, userId: theirs } = await signedUp(app, c);
      await visitor.submit(app.forms.signIn, person);
      const identify = await visitor.identify((e) => e.userId === theirs);
      assert.notEqual(identify.anonymousId, mine);
      assert.equal(await visitor.id(), identify.anonymousId);
      await c.profile(userId, { anonymousIds: [mine] });
    },
  },
  {
    name: 'a guest who logs out keeps the ID',
    needs: ['guestLogOut'],
    async run(app, c) {
      const visitor = await c.visitor();
      const id = await visitor.open(app.home);
      await visitor.submit(app.forms.guestLogOut);
      assert.equal(await visitor.open(app.other), id);
      assert.deepEqual(names(await visitor.all(app.home)), [], 'nobody has signed out');
    },
  },
  {
    name: 'the admin area makes no events, and its logout is one',
    needs: ['admin'],
    async run(app, c) {
      const { person, signIn, pages, logOut } = app.admin;
      const visitor = await c.visitor();
      const mine = await visitor.open(app.home);
      await visitor.submit(signIn, person);
      for (const path of pages) await visitor.open(path);
      const events = await visitor.all(app.home);
      for (const path of pages) {
        assert.ok(!events.some((e) => e.page?.path === path), `no event on ${path}`);
      }
      const { userId, traits } = await visitor.identify();
      assert.deepEqual(traits, app.traits(person));
      await visitor.submit({ at: pages[0], ...logOut });
      const next = await visitor.open(app.home);
      assert.notEqual(next, mine);
      const page = await visitor.pageEvent(app.home, (e) => e.anonymousId === next);
      assert.notEqual(page.userId, userId);
    },
  },
];
