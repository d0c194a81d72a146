// Asks the process once a second for what is new, less often while it does not answer, and not while nobody looks.

const EVERY = 1000;
const LONGEST = 30000;
const PATIENCE = 10000;

class Connection {
  constructor(take, told) {
    this.take = take;
    this.told = told;
    this.boot = '';
    this.since = '';
    this.failures = 0;
    this.timer = null;
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) this.soon(0);
    });
    this.ask();
  }

  // Forget what is here, to be told all of it again.
  renew() {
    this.boot = '';
  }

  soon(pause) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), pause);
  }

  async ask() {
    if (this.isAsking) return;
    this.isAsking = true;
    let news = null;
    try {
      const query = new URLSearchParams({ boot: this.boot, since: this.since });
      const reply = await fetch(`page/history.json?${query}`, { cache: 'no-store', signal: AbortSignal.timeout(PATIENCE) });
      if (!reply.ok) throw new Error(`it answers with status ${reply.status}`);
      news = await reply.json();
    } catch (error) {
      this.failed(error);
    }
    this.isAsking = false;
    if (news) {
      this.answered(news);
      if (!document.hidden) this.soon(EVERY);
    } else {
      this.soon(Math.min(EVERY * 2 ** this.failures, LONGEST));
    }
  }

  answered(news) {
    const isWhole = news.boot !== this.boot;
    [this.boot, this.since, this.failures, this.lost] = [news.boot, news.now, 0, null];
    this.told('live', 'Live');
    this.take(news, isWhole);
  }

  failed(error) {
    this.failures += 1;
    this.lost = this.lost || new Date();
    const since = this.lost.toLocaleTimeString('en-GB');
    const why = error.message.startsWith('it answers') ? error.message : 'it has ended, or cannot be reached';
    this.told('gone', `No answer from the process since ${since}: ${why}. What you see is what was last known; asking again now and then.`);
  }
}
