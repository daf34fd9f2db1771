'use client';

import { useState } from 'react';

export default function Newsletter() {
  const [done, setDone] = useState(false);
  const subscribe = async (event) => {
    event.preventDefault();
    const answer = await fetch('/newsletter', { method: 'POST', body: JSON.stringify({ list: 'autumn' }) });
    setDone(answer.ok);
  };
  if (done) return <p id="subscribed">Thank you</p>;
  return <form id="newsletter" onSubmit={subscribe}><button>Subscribe</button></form>;
}
