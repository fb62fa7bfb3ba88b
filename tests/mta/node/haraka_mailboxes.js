// A plugin for Haraka: whom it has mail for, and where it keeps it.
const fs = require('node:fs');
const path = require('node:path');

exports.hook_mail = (next) => next(OK);

exports.hook_rcpt = (next, connection, [address]) => {
  if (address.host !== 'example.com') return next(); // nobody takes it: Haraka relays for nobody
  switch (address.user.split('+')[0]) {
    case 'good':
      return next(OK);
    case 'deferred':
      return next(DENYSOFT, 'Greylisted, try again later');
    case 'full':
      return next(DENYSOFT, 'Mailbox full');
    default:
      return next(DENY, 'No such user');
  }
};

exports.hook_queue = (next, connection) => {
  const file = path.join(process.env.MAILBOX, connection.transaction.uuid);
  const stream = fs.createWriteStream(file);
  stream.on('finish', () => next(OK)).on('error', (error) => next(DENYSOFT, error.message));
  connection.transaction.message_stream.pipe(stream);
};
