// Live: what others do, who else looks, and catching up after the connection was away.

import { called, changed, concerns, day, reload, take } from './store.js';
import { byId, get, h, start, t, toast } from './ui.js';

const RESYNC = 5 * 60000;
const SILENCE = 45000;
const BURST = 6;

export class Live {
  constructor() {
    this.tries = 0;
    this.queue = new Set();
    this.owed = !day.data;
    this.people = [];
    this.connect();
    setInterval(() => this.watch(), 5000);
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) this.woken();
    });
    window.addEventListener('online', () => this.woken());
  }

  connect() {
    clearTimeout(this.again);
    this.state(this.tries ? 'offline' : 'connecting');
    const scheme = window.location.protocol === 'https:' ? 'wss' : 'ws';
    const socket = new WebSocket(`${scheme}://${window.location.host}/ws/`);
    this.socket = socket;
    this.heard = Date.now();
    socket.addEventListener('open', () =>
      socket.send(
        JSON.stringify({
          type: 'subscribe',
          restaurantId: start.restaurant,
          lastEventId: day.data?.cursor ?? undefined,
          presence: start.me,
        }),
      ),
    );
    socket.addEventListener('message', (message) => this.hear(JSON.parse(message.data)));
    socket.addEventListener('close', () => {
      if (socket === this.socket) this.lost();
    });
  }

  lost() {
    this.state('offline');
    this.tries += 1;
    const wait = Math.min(15000, 400 * 2 ** Math.min(this.tries, 6)) * (0.6 + Math.random() * 0.8);
    clearTimeout(this.again);
    this.again = setTimeout(() => this.connect(), wait);
    if (this.tries === 2) this.refresh();
  }

  /** After sleep a socket may look open and be dead. */
  woken() {
    if (Date.now() - this.heard > SILENCE || this.socket.readyState > 1) {
      this.socket.close();
      this.connect();
    }
    this.refresh();
  }

  watch() {
    const silent = Date.now() - this.heard;
    if (this.socket.readyState === 1 && silent > 20000) this.socket.send(JSON.stringify({ type: 'ping' }));
    if (this.socket.readyState === 1 && silent > SILENCE) {
      const old = this.socket;
      this.socket = null;
      old.close();
      this.tries += 1;
      this.connect();
    }
    if (this.owed && this.socket?.readyState === 1) this.refresh();
    if (Date.now() - (this.synced ?? Date.now()) > RESYNC) this.refresh();
    this.synced ??= Date.now();
  }

  /** The whole day anew: the truth, whatever was missed. */
  async refresh() {
    this.synced = Date.now();
    this.owed = false;
    try {
      await reload();
    } catch (refusal) {
      // What was told is not seen yet: asked for again until there is an answer.
      this.owed = true;
      if (refusal.status === 401) this.signedOut();
      // Theirs no longer: to what still is.
      else if ([403, 404].includes(refusal.status)) window.location.assign(start.urls.floor);
    }
  }

  signedOut() {
    if (!this.out) toast(t('signedOut'), { bad: true });
    this.out ??= setInterval(() => {
      if (byId('drawer').hidden) window.location.reload();
    }, 4000);
  }

  hear(message) {
    this.heard = Date.now();
    if (message.type === 'subscribed' && message.success) {
      this.tries = 0;
      this.state('online');
    } else if (message.type === 'booking-event') this.event(message.event);
    else if (message.type === 'resync') this.refresh();
    else if (message.type === 'presence') this.present(message.people);
    else if (message.type === 'subscribed') this.refresh();
  }

  event(event) {
    if (day.data) day.data.cursor = event.id;
    if (event.type.startsWith('Table')) {
      this.later();
      return;
    }
    const known = day.bookings.get(event.data.id);
    if (!concerns(event.data.serviceDate) && !known) return;
    this.queue.add(event.data.id);
    clearTimeout(this.draining);
    this.draining = setTimeout(() => this.drain(), 20);
  }

  later() {
    clearTimeout(this.reloading);
    this.reloading = setTimeout(
      () =>
        reload().catch(() => {
          this.owed = true;
        }),
      120,
    );
  }

  async drain() {
    const ids = [...this.queue];
    this.queue.clear();
    if (ids.length > BURST) {
      this.later();
      return;
    }
    for (const id of ids) {
      const full = await get(`bookings/${id}`).catch((refusal) => {
        if (refusal.status !== 404) this.owed = true;
      });
      if (!full) continue;
      const known = day.bookings.get(id);
      if (known && known.version >= full.version && !known.pending) continue;
      // The set-up itself was changed.
      if (full.attention && full.attention !== known?.attention) this.later();
      full.flash = true;
      const last = full.story.at(-1);
      if (take(full)) {
        setTimeout(() => {
          full.flash = false;
        }, 1800);
        if (last && last.by !== start.me)
          toast(t('liveChange', { who: last.by, what: t(last.event), name: called(full) }));
      }
    }
    changed();
  }

  present(people) {
    const others = people.filter((each) => each !== start.me);
    byId('presence').replaceChildren(
      ...others.slice(0, 5).map((name) =>
        h(
          'span',
          { 'aria-hidden': 'true' },
          name
            .split(/\s+/)
            .map((part) => part[0])
            .join('')
            .slice(0, 2)
            .toUpperCase(),
        ),
      ),
    );
    byId('presence').title = others.length ? t('alsoHere', { names: others.join(', ') }) : '';
    byId('presence').append(h('i', { class: 'sr' }, byId('presence').title));
  }

  state(state) {
    const link = byId('link');
    if (link.dataset.state === state) return;
    link.dataset.state = state;
    link.lastElementChild.textContent = t(state === 'offline' ? 'offline' : state);
  }
}
