// smtp-server, as those who build on it use it: whom it has mail for, and where it keeps it.
const fs = require('node:fs');
const path = require('node:path');
const { SMTPServer } = require('smtp-server');

const { PORT, MAILBOX, CONNECTIONS } = process.env;
let taken = 0;

function refusal(code, text) {
  return Object.assign(new Error(text), { responseCode: code });
}

function onRcptTo({ address }, session, done) {
  const [user, domain] = address.split('@');
  if (domain !== 'example.com') return done(refusal(550, '5.7.1 Relay access denied'));
  switch (user.split('+')[0]) {
    case 'good':
      return done();
    case 'deferred':
      return done(refusal(450, '4.7.1 Greylisted, try again later'));
    case 'full':
      return done(refusal(452, '4.2.2 Mailbox full'));
    default:
      return done(refusal(550, '5.1.1 No such user'));
  }
}

function onData(stream, session, done) {
  const file = fs.createWriteStream(path.join(MAILBOX, `${process.pid}-${(taken += 1)}`));
  stream.pipe(file).on('finish', () => done()).on('error', done);
}

const server = new SMTPServer({
  authOptional: true,
  disabledCommands: ['STARTTLS', 'AUTH'],
  disableReverseLookup: true,
  logger: true,
  maxClients: Number(CONNECTIONS) || Infinity,
  onRcptTo,
  onData,
});
server.on('error', (error) => console.log(`error: ${error.message}`));
process.on('SIGTERM', () => server.close(() => process.exit(0)));
server.listen(Number(PORT), '127.0.0.1');
