'use strict';

const { randomBytes, randomUUID, scryptSync, timingSafeEqual } = require('node:crypto');
const express = require('express');
const session = require('express-session');
const intilery = require('./intilery');
const { layout, homePage, productPage, formPage, adminPage } = require('./views');

const users = new Map(); // by ID

const hash = (password, salt) => scryptSync(password, salt, 32);

function createUser({ email, name, password, admin = false }) {
  const salt = randomBytes(16);
  const user = { id: randomUUID(), email, name, admin, salt, hash: hash(password, salt) };
  users.set(user.id, user);
  return user;
}

function findUser({ email, password }) {
  const user = [...users.values()].find((u) => u.email === email);
  return user && timingSafeEqual(hash(password, user.salt), user.hash) ? user : undefined;
}

createUser({ email: 'grace@example.com', name: 'Grace Hopper', password: 'cobol-1959', admin: true });

const app = express();
app.use(express.static('public'));
app.use(express.urlencoded({ extended: false }));
app.use(express.json());
app.use(session({ secret: randomUUID(), resave: false, saveUninitialized: false }));

app.get('/prices', (req, res) => {
  res.set('Cache-Control', 'public, max-age=600');
  res.send(layout('Prices', productPage('teapot')));
});

// Each page of a signed-in user identifies them; the module sends only what is new.
app.use((req, res, next) => {
  req.user = users.get(req.session.userId); // as your app does it
  if (req.user) intilery.identify(res, req.user);
  next();
});

app.get('/', (req, res) => {
  intilery.page(res, 'Home');
  res.send(layout('Tea & Teapots', homePage(req.user)));
});

app.get('/products/:sku', (req, res) => {
  intilery.page(res, 'Product', { sku: req.params.sku });
  res.send(layout('Product', productPage(req.params.sku)));
});

app.get('/sign-up', (req, res) => {
  res.send(layout('Sign up', formPage('/sign-up', ['email', 'name', 'password'])));
});

app.post('/sign-up', (req, res) => {
  const user = createUser(req.body);
  req.session.userId = user.id;
  intilery.identify(res, user); // the middleware ran before there was a user
  intilery.track(res, 'Signed Up', { plan: 'free' });
  res.redirect(303, '/');
});

app.get('/sign-in', (req, res) => {
  res.send(layout('Sign in', formPage('/sign-in', ['email', 'password'])));
});

app.post('/sign-in', (req, res) => {
  const user = findUser(req.body);
  if (!user) return res.status(403).send(layout('Sign in', 'Wrong password.'));
  req.session.userId = user.id;
  intilery.identify(res, user);
  res.redirect(303, '/');
});

app.get('/profile', (req, res) => {
  if (!req.user) return res.redirect(303, '/sign-in');
  res.send(layout('Profile', formPage('/profile', ['name'], req.user)));
});

app.post('/profile', (req, res) => {
  if (!req.user) return res.redirect(303, '/sign-in');
  req.user.name = req.body.name;
  res.redirect(303, '/'); // the next page identifies with the new name
});

app.post('/order', (req, res) => {
  intilery.track(res, 'Order Completed', { total: 38, currency: 'GBP' });
  intilery.track(res, 'Coupon Used', { code: 'TEA10' });
  res.redirect(303, '/');
});

app.post('/newsletter', (req, res) => {
  intilery.track(res, 'Newsletter Subscribed', { list: req.body.list });
  res.json({ subscribed: true });
});

app.post('/consent', (req, res) => {
  intilery.consent(res, req.body.choice === 'yes');
  res.redirect(303, '/');
});

app.post('/logout', (req, res, next) => {
  const signedIn = Boolean(req.session.userId);
  req.session.destroy((err) => {
    if (err) return next(err);
    if (signedIn) { // a guest has nothing to reset
      intilery.track(res, 'Signed Out');
      intilery.reset(res);
    }
    res.redirect(303, '/');
  });
});

app.get('/admin', (req, res) => {
  if (!req.user?.admin) return res.redirect(303, '/sign-in');
  res.send(layout('Admin', adminPage([...users.values()])));
});

app.listen(process.env.PORT ?? 3000);
