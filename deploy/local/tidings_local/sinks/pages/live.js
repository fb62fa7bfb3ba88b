// Loads the list again as soon as something new has come.
const shown = document.body.dataset.received;
setInterval(async () => {
  const answer = await fetch("/api/received").catch(() => null);
  if (answer && answer.ok && String((await answer.json()).received) !== shown) location.reload();
}, 2000);
