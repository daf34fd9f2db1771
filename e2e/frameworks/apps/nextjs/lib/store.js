import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createHmac, randomBytes, randomUUID, scryptSync, timingSafeEqual } from 'node:crypto';
import { cookies } from 'next/headers';

// A file stands for the database.
const FILE = 'users.json';
const SECRET = 'of the tests alone';

const read = () => (existsSync(FILE) ? JSON.parse(readFileSync(FILE, 'utf8')) : []);
const hash = (password, salt) => scryptSync(password, salt, 32).toString('hex');
const sign = (id) => `${id}.${createHmac('sha256', SECRET).update(id).digest('hex')}`;

export function createUser({ email, name, password }) {
  const salt = randomBytes(16).toString('hex');
  const user = { id: randomUUID(), email, name, salt, hash: hash(password, salt) };
  writeFileSync(FILE, JSON.stringify([...read(), user]));
  return user;
}

export function findUser({ email, password }) {
  const user = read().find((u) => u.email === email);
  return user && timingSafeEqual(Buffer.from(hash(password, user.salt)), Buffer.from(user.hash)) ? user : undefined;
}

export function rename(id, name) {
  writeFileSync(FILE, JSON.stringify(read().map((u) => (u.id === id ? { ...u, name } : u))));
}

/** The user of a session cookie's value. */
export function userOf(session) {
  const [id] = (session ?? '').split('.');
  return id && session === sign(id) ? read().find((u) => u.id === id) : undefined;
}

export const currentUser = async () => userOf((await cookies()).get('session')?.value);

export async function signIn(user) {
  (await cookies()).set('session', sign(user.id), { httpOnly: true, sameSite: 'lax', path: '/' });
}

export async function signOut() {
  (await cookies()).delete('session');
}
