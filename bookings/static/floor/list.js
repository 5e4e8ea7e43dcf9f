// The list beside the views: the bookings still to arrive, seated, completed or not coming; or the results of a search.

import { changeStatus } from './actions.js';
import {
  displayName,
  endText,
  flagChips,
  flagsOf,
  isAllowed,
  isInShownSector,
  isOpen,
  occupiesTables,
  startText,
  tableText,
  tone,
  toneIcon,
  toneLabel,
} from './bookings.js';
import { dateText } from './clock.js';
import { fill, gettext } from './i18n.js';
import { page } from './page.js';
import { get } from './server.js';
import { board } from './store.js';
import { byId, h, icon, inputById, PHONE } from './ui.js';

/** @import { Navigation } from './main.js' */
/** @import { Booking } from './store.js' */

/**
 * @typedef {'arriving' | 'seated' | 'done' | 'out' | 'attention'} Filter
 */

const SEARCH_DELAY_MS = 160;
const MIN_SEARCH_LENGTH = 2;

/** @type {Record<Filter, (booking: Booking) => boolean>} */
const FILTERS = {
  arriving: (booking) => isOpen(booking) && booking.status !== 'SEATED',
  seated: (booking) => booking.status === 'SEATED',
  done: (booking) => occupiesTables(booking) && !isOpen(booking),
  out: (booking) => !occupiesTables(booking),
  attention: (booking) => flagsOf(booking).length > 0,
};

export class List {
  /** @param {Navigation} navigation */
  constructor(navigation) {
    this.navigation = navigation;
    /** @type {Filter} */
    this.filter = 'arriving';
    /** @type {Booking[] | null} The bookings that the search found; null while there is no search. */
    this.results = null;
    /** @type {number | undefined} */
    let timer;
    const search = inputById('search');
    search.addEventListener('input', () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.search(search.value), SEARCH_DELAY_MS);
    });
    search.addEventListener('keydown', async (event) => {
      if (event.key === 'Enter') {
        event.preventDefault();
        clearTimeout(timer);
        await this.search(search.value);
        if (this.results) byId('list').querySelector('button')?.click();
      }
      if (event.key === 'Escape') {
        search.value = '';
        this.search('');
      }
    });
  }

  /** @param {string} text */
  async search(text) {
    const query = text.trim();
    if (query.length < MIN_SEARCH_LENGTH) {
      this.results = null;
      this.render();
      return;
    }
    const parameters = { restaurant: page.restaurant, date: board.day.date, q: query };
    /** @type {{ bookings: Booking[] }} */
    const { bookings } = await get('search', parameters).catch(() => ({ bookings: [] }));
    if (inputById('search').value.trim() !== query) return;
    this.results = bookings;
    if (PHONE.matches) this.navigation.showView('list');
    this.render();
  }

  render() {
    const bookings = [...board.bookings.values()].filter(isInShownSector);
    const needAttention = bookings.some(FILTERS.attention);
    if (this.filter === 'attention' && !needAttention) this.filter = 'arriving';
    byId('filters').replaceChildren(
      this.tab('arriving', bookings, gettext('Arriving')),
      this.tab('seated', bookings, gettext('Seated')),
      this.tab('done', bookings, gettext('Done')),
      this.tab('out', bookings, gettext('Out')),
    );
    const flag = h('span', { class: 'flag' }, icon('flag'));
    byId('flagged').replaceChildren(
      needAttention ? this.tab('attention', bookings, flag, gettext('Needs attention')) : '',
    );
    const shown = this.results ?? bookings.filter(FILTERS[this.filter]).sort((a, b) => a.start - b.start);
    const rows = shown.map((booking) => this.row(booking));
    if (!rows.length) {
      const nothing = this.results ? gettext('No booking matches.') : gettext('No bookings.');
      rows.push(h('li', { class: 'nothing' }, nothing));
    }
    byId('list').replaceChildren(...rows);
  }

  /**
   * @param {Filter} filter
   * @param {Booking[]} bookings
   * @param {...(string | Node)} label
   */
  tab(filter, bookings, ...label) {
    const onclick = () => {
      this.filter = filter;
      this.results = null;
      inputById('search').value = '';
      this.render();
    };
    const pressed = !this.results && this.filter === filter;
    return h(
      'button',
      { type: 'button', 'data-filter': filter, 'aria-pressed': String(pressed), onclick },
      ...label,
      h('small', {}, String(bookings.filter(FILTERS[filter]).length)),
    );
  }

  /** @param {Booking} booking */
  row(booking) {
    const look = tone(booking);
    const chips = flagChips(booking);
    const isOfShownDay = booking.date === board.day.date;
    const onclick = async () => {
      if (!isOfShownDay && !(await this.navigation.goTo(booking.date))) return;
      this.navigation.openBooking(board.bookings.get(booking.id) ?? booking);
    };
    return h(
      'li',
      { class: board.selected === booking.id ? 'selected' : '' },
      h(
        'button',
        { type: 'button', class: 'row', 'data-booking': booking.reference, onclick },
        h(
          'span',
          { class: 'start' },
          h('b', {}, startText(booking)),
          h('span', { class: `tone-${look}` }, icon(toneIcon(look)), h('span', { class: 'sr-only' }, toneLabel(look))),
        ),
        h(
          'span',
          { class: 'who' },
          displayName(booking),
          booking.notes ? ' ' : '',
          booking.notes ? icon('note') : null,
        ),
        h(
          'span',
          { class: 'details' },
          h('b', {}, String(booking.party)),
          icon('people'),
          [tableText(booking.tables), this.remark(booking, isOfShownDay)].filter(Boolean).join(' · '),
        ),
        chips.length > 0 && h('span', { class: 'flags' }, ...chips),
      ),
      isOfShownDay ? this.quickAction(booking) : null,
    );
  }

  /**
   * What is worth knowing about the booking at a glance.
   * @param {Booking} booking
   * @param {boolean} isOfShownDay
   */
  remark(booking, isOfShownDay) {
    const look = tone(booking);
    if (!isOfShownDay) return dateText(booking.date, false);
    if (look === 'late' || look === 'over') return toneLabel(look);
    return look === 'SEATED' ? fill(gettext('until %(time)s'), { time: endText(booking) }) : '';
  }

  /** @param {Booking} booking */
  quickAction(booking) {
    const action = booking.status === 'CONFIRMED' ? 'seat' : 'complete';
    if (!isAllowed(booking, action)) return null;
    const { label } = page.actions[action];
    const properties = {
      type: 'button',
      class: 'soft quick',
      disabled: Boolean(booking.pending),
      'aria-label': `${label}: ${displayName(booking)}`,
      onclick: () => changeStatus(booking, action),
    };
    return h('button', properties, label);
  }
}
