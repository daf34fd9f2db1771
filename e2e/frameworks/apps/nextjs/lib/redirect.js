/** A redirect to a path. Behind a proxy the request's own URL is not the visitor's. */
export const redirectTo = (path) => new Response(null, { status: 303, headers: { Location: path } });
