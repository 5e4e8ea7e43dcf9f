// The live connection: what other people change, who else looks at the board, and catching up after an interruption.

import { displayName } from './bookings.js';
import { fill, gettext } from './i18n.js';
import { page } from './page.js';
import { get, Refusal } from './server.js';
import { board, boardChanged, isOnBoard, mergeBooking, reloadDay } from './store.js';
import { byId, errorToast, h, toast } from './ui.js';

/** @import { Booking } from './store.js' */

/**
 * @typedef {{ id: string, type: string, data: { id: string, serviceDate: string } }} LiveEvent
 *
 * @typedef {{ type: 'subscribed', success: boolean } | { type: 'booking-event', event: LiveEvent } |
 *   { type: 'resync' } | { type: 'presence', people: string[] } | { type: 'pong' }} Message
 */

/** The day is reloaded at this interval, whatever messages arrive. */
const RELOAD_MS = 5 * 60_000;
/** A day that could not be loaded is tried again at this interval. */
const RETRY_MS = 5000;
/** A board is called live for at most 3 s of silence: the next three together. */
const CHECK_MS = 250;
/** A connection that is silent for this long gets a ping. */
const PING_AFTER_MS = 1000;
/** Without an answer for this long the board is no longer called live. */
const ANSWER_MS = 1250;
/** A connection that is silent for this long is closed and made anew. */
const MAX_SILENCE_MS = 45_000;
const MAX_RECONNECT_MS = 15_000;
/** Events that come within this time are handled together. */
const GATHER_MS = 20;
/** With more bookings changed at once, loading the day is quicker than reading each. */
const MAX_SINGLE_READS = 6;
const RELOAD_DELAY_MS = 120;
/** As long as the animation of `.flash` takes in timeline.css. */
const FLASH_MS = 1800;
const SIGNED_OUT_CHECK_MS = 4000;
const MAX_INITIALS = 5;

export class Live {
  constructor() {
    /** Failed attempts to connect since the last success. */
    this.attempts = 0;
    this.lastHeard = Date.now();
    /** When the first of the pings without an answer was sent; 0 for none. */
    this.unanswered = 0;
    this.lastPing = 0;
    this.isSubscribed = false;
    this.lastReload = Date.now();
    /** Whether the day must be loaded again, because an attempt failed. */
    this.mustReload = !board.loaded;
    this.isSignedOut = false;
    /** The bookings whose events came in the last moments. */
    this.changedIds = /** @type {Set<string>} */ (new Set());
    /** @type {number | undefined} */
    this.gathering = undefined;
    /** @type {number | undefined} */
    this.reloading = undefined;
    /** @type {number | undefined} */
    this.reconnecting = undefined;
    this.socket = this.connect();
    setInterval(() => this.check(), CHECK_MS);
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) this.wake();
    });
    window.addEventListener('online', () => this.wake());
    window.addEventListener('offline', () => showState('offline'));
  }

  // --- The connection ------------------------------------------------------------------------------------------

  connect() {
    clearTimeout(this.reconnecting);
    showState(this.attempts ? 'offline' : 'connecting');
    const scheme = window.location.protocol === 'https:' ? 'wss' : 'ws';
    const socket = new WebSocket(`${scheme}://${window.location.host}/ws/`);
    this.lastHeard = Date.now();
    this.unanswered = 0;
    this.isSubscribed = false;
    socket.addEventListener('open', () => {
      const lastEventId = board.day.cursor ?? undefined;
      send(socket, { type: 'subscribe', restaurantId: page.restaurant, lastEventId, presence: page.me });
    });
    socket.addEventListener('message', (message) => this.hear(JSON.parse(message.data)));
    socket.addEventListener('close', () => {
      if (socket === this.socket) this.retry();
    });
    return socket;
  }

  retry() {
    showState('offline');
    this.attempts += 1;
    // Boards that lost the same server must not all come back at the same moment.
    const spread = 0.6 + Math.random() * 0.8;
    const wait = Math.min(MAX_RECONNECT_MS, 400 * 2 ** Math.min(this.attempts, 6)) * spread;
    clearTimeout(this.reconnecting);
    this.reconnecting = setTimeout(() => this.reconnect(), wait);
    if (this.attempts === 2) this.refresh();
  }

  reconnect() {
    const old = this.socket;
    this.socket = this.connect();
    old.close();
  }

  /** The browser slept or was offline: a socket may look open and be dead. */
  wake() {
    const isSilent = Date.now() - this.lastHeard > MAX_SILENCE_MS;
    if (isSilent || this.socket.readyState > WebSocket.OPEN) this.reconnect();
    this.refresh();
  }

  check() {
    const present = Date.now();
    const silence = present - this.lastHeard;
    const isOpen = this.socket.readyState === WebSocket.OPEN;
    if (isOpen && silence > MAX_SILENCE_MS) {
      this.attempts += 1;
      this.reconnect();
    } else if (isOpen && silence > PING_AFTER_MS) {
      // Counted from the ping, not from the silence: a tab in the background checks once in a minute.
      if (this.unanswered && present - this.unanswered > ANSWER_MS) showState('offline');
      if (present - this.lastPing > PING_AFTER_MS) this.ping(present);
    }
    const mustRetry = isOpen && this.mustReload && present - this.lastReload > RETRY_MS;
    if (mustRetry || present - this.lastReload > RELOAD_MS) this.refresh();
  }

  /** @param {number} present */
  ping(present) {
    this.lastPing = present;
    this.unanswered ||= present;
    send(this.socket, { type: 'ping' });
  }

  /** Load the whole day again: that is right, whatever was missed. */
  async refresh() {
    this.lastReload = Date.now();
    this.mustReload = false;
    try {
      await reloadDay();
    } catch (refusal) {
      this.mustReload = true;
      const status = refusal instanceof Refusal ? refusal.status : 0;
      if (status === 401) this.showSignedOut();
      // The person may no longer see this restaurant, but perhaps another.
      else if (status === 403 || status === 404) window.location.assign(page.urls.floor);
    }
  }

  /** Go to the sign-in page, but not while something is being typed. */
  showSignedOut() {
    if (this.isSignedOut) return;
    this.isSignedOut = true;
    errorToast(gettext('You are signed out. Sign in again: nothing that you saved is lost.'));
    setInterval(() => {
      if (byId('drawer').hidden) window.location.reload();
    }, SIGNED_OUT_CHECK_MS);
  }

  // --- Messages ------------------------------------------------------------------------------------------------

  /** @param {Message} message */
  hear(message) {
    this.lastHeard = Date.now();
    this.unanswered = 0;
    if (this.isSubscribed && navigator.onLine) showState('online');
    if (message.type === 'subscribed' && message.success) {
      this.attempts = 0;
      this.isSubscribed = true;
      showState('online');
    } else if (message.type === 'booking-event') {
      this.hearEvent(message.event);
    } else if (message.type === 'presence') {
      showPeople(message.people);
    } else if (message.type === 'resync' || message.type === 'subscribed') {
      this.refresh();
    }
  }

  /** @param {LiveEvent} event */
  hearEvent(event) {
    board.day.cursor = event.id;
    if (event.type.startsWith('Table')) {
      this.reloadSoon();
      return;
    }
    if (!isOnBoard(event.data.serviceDate) && !board.bookings.has(event.data.id)) return;
    this.changedIds.add(event.data.id);
    clearTimeout(this.gathering);
    this.gathering = setTimeout(() => this.readChanged(), GATHER_MS);
  }

  reloadSoon() {
    clearTimeout(this.reloading);
    this.reloading = setTimeout(() => {
      reloadDay().catch(() => {
        this.mustReload = true;
      });
    }, RELOAD_DELAY_MS);
  }

  /** Read the bookings whose events came in. */
  async readChanged() {
    const ids = [...this.changedIds];
    this.changedIds.clear();
    if (ids.length > MAX_SINGLE_READS) {
      this.reloadSoon();
      return;
    }
    for (const id of ids) {
      const booking = await get(`bookings/${id}`).catch((refusal) => {
        if (refusal.status !== 404) this.mustReload = true;
        return null;
      });
      if (booking) this.show(booking);
    }
    boardChanged();
  }

  /** @param {Booking} booking */
  show(booking) {
    const shown = board.bookings.get(booking.id);
    if (shown && shown.version >= booking.version && !shown.pending) return;
    // A booking that newly needs attention mostly does because the restaurant's set-up was changed.
    const isNew = (/** @type {string} */ flag) => flag !== 'occupied' && !shown?.attention.includes(flag);
    if (booking.attention.some(isNew)) this.reloadSoon();
    booking.flash = true;
    if (!mergeBooking(booking)) return;
    setTimeout(() => {
      booking.flash = false;
    }, FLASH_MS);
    const last = booking.story?.at(-1);
    if (!last || last.by === page.me) return;
    const facts = { person: last.by, event: last.label, name: displayName(booking) };
    toast(fill(gettext('%(person)s: %(event)s · %(name)s'), facts));
  }
}

/**
 * @param {WebSocket} socket
 * @param {object} message
 */
const send = (socket, message) => socket.send(JSON.stringify(message));

/** @param {string[]} people */
function showPeople(people) {
  const others = people.filter((name) => name !== page.me);
  const title = others.length ? fill(gettext('Also on this board: %(names)s'), { names: others.join(', ') }) : '';
  const initials = others.slice(0, MAX_INITIALS).map((name) => h('span', { 'aria-hidden': 'true' }, initialsOf(name)));
  byId('presence').title = title;
  byId('presence').replaceChildren(...initials, h('i', { class: 'sr-only' }, title));
}

/** @param {string} name */
const initialsOf = (name) =>
  name
    .split(/\s+/)
    .map((word) => word[0])
    .join('')
    .slice(0, 2)
    .toUpperCase();

/** @param {'connecting' | 'online' | 'offline'} state */
function showState(state) {
  const element = byId('link');
  if (element.dataset.state === state) return;
  element.dataset.state = state;
  const texts = {
    connecting: gettext('Connecting'),
    online: gettext('Live'),
    offline: gettext('No connection: the board may be out of date. Reconnecting…'),
  };
  if (element.lastElementChild) element.lastElementChild.textContent = texts[state];
}
