// The shop that several of the apps are, as journey.mjs wants an app described. suffix is
// what their paths end in, field the selector of a form's field by its name.
const named = (name) => `[name=${name}]`;

export function shop({ suffix = '', field = named } = {}) {
  const form = (name, ...fields) => ({
    at: `/${name}${suffix}`, fill: Object.fromEntries(fields.map((f) => [field(f), f])), press: '#send',
  });
  const signIn = form('sign-in', 'email', 'password');
  return {
    ready: '/',
    home: '/',
    homeName: 'Home',
    other: '/products/teapot',
    public: `/prices${suffix}`,
    person: (n) => ({ email: `ada${n}@example.com`, name: `Ada Ƀyron ${n}`, password: `engine-${n}` }),
    nameless: { name: '' },
    changed: { name: 'Ada King 🫖' },
    traits: ({ email, name }) => ({ email, ...(name && { name }) }),
    over: true,
    forms: {
      signUp: form('sign-up', 'email', 'name', 'password'),
      signIn,
      profile: form('profile', 'name'),
      logOut: { press: '#log-out' },
      guestLogOut: { press: '#log-out' },
      order: { press: '#order' },
      ajax: { press: '#newsletter button', shows: '#subscribed' },
    },
    tracks: {
      signUp: ['Signed Up'],
      logOut: ['Signed Out'],
      order: ['Order Completed', 'Coupon Used'],
      ajax: ['Newsletter Subscribed'],
    },
    admin: {
      person: { email: 'grace@example.com', name: 'Grace Hopper', password: 'cobol-1959' },
      signIn,
      pages: ['/admin'],
      logOut: { press: '#log-out' },
    },
  };
}
