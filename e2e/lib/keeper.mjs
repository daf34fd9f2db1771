// Ages a keeper cookie: the browser's jar can be made to look eight days older,
// the times sealed inside the keeper only by whoever has the key. The format is
// that of package cookie (keyring.go, keeper.go).
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

const INFO = 'intilery keeper v1 aes-256-gcm';
const HEADER = 3;
const NONCE = 12;
const TAG = 16;
const UUID = 1, TEXT = 2, USER = 4, IDENTIFY = 8; // flags of what follows the times

/** Returns the keeper as it would be had everything in it happened `seconds` earlier. */
export function ageKeeper(value, { key, name, site, seconds }) {
  const derived = Buffer.from(hkdfSync('sha256', key, Buffer.alloc(0), INFO, 34)).subarray(0, 32);
  const box = Buffer.from(value, 'base64url');
  const header = box.subarray(0, HEADER);
  const context = Buffer.concat([header, Buffer.from(`${name}\0${site}`)]);

  const open = createDecipheriv('aes-256-gcm', derived, box.subarray(HEADER, HEADER + NONCE)).setAAD(context);
  open.setAuthTag(box.subarray(-TAG));
  const plain = Buffer.concat([open.update(box.subarray(HEADER + NONCE, -TAG)), open.final()]);

  const flags = plain.readUInt16BE(0);
  const times = [2, 6]; // issued, last seen
  let at = 10;
  if (flags & UUID) at += 16;
  if (flags & TEXT) at += 1 + plain[at];
  if (flags & USER) at += 2 + plain[at];
  if (flags & IDENTIFY) times.push(at + 16);
  for (const time of times) plain.writeUInt32BE(plain.readUInt32BE(time) - seconds, time);

  const nonce = randomBytes(NONCE);
  const seal = createCipheriv('aes-256-gcm', derived, nonce).setAAD(context);
  const sealed = Buffer.concat([seal.update(plain), seal.final()]);
  return Buffer.concat([header, nonce, sealed, seal.getAuthTag()]).toString('base64url');
}
