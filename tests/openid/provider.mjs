// An OpenID provider on loopback, by oidc-provider: everybody may sign in under any name, and has the claims that
// PEOPLE gives to that name. It writes its port to standard output.
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const from = createRequire(`${process.env.FOLDER}/`);
const { Provider } = await import(pathToFileURL(from.resolve('oidc-provider')).href);
const people = JSON.parse(process.env.PEOPLE);
const server = createServer().listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: JSON.parse(process.env.CLIENTS),
    claims: { openid: ['sub'], profile: ['preferred_username', 'roles', 'tenant'] },
    conformIdTokenClaims: process.env.THIN === 'yes', // claims are in userinfo only, not in the ID token
    findAccount: (_, id) => people[id] && { accountId: id, claims: () => ({ sub: id, ...people[id] }) },
    pkce: { required: () => true },
    features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true } },
  });
  server.on('request', provider.callback());
  console.log(port);
});
