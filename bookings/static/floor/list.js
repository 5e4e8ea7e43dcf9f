// The rail: who is still to come, who sits, who has left; or what a search found.

import { act, called, day, endOf, flag, here, tableNames, tone, toneIcon, toneWord, wrong } from './store.js';
import { byId, clock, dateWords, get, h, icon, start, t } from './ui.js';

const is =
  (...statuses) =>
  (booking) =>
    statuses.includes(booking.status);
const FILTERS = [
  ['arriving', is('CONFIRMED')],
  ['seatedTab', is('SEATED')],
  ['done', is('COMPLETED')],
  ['out', is('NO_SHOW', 'CANCELLED')],
];

export class List {
  constructor(open) {
    this.open = open;
    this.filter = 'arriving';
    this.found = null;
    let timer;
    byId('search').addEventListener('input', (event) => {
      clearTimeout(timer);
      timer = setTimeout(() => this.search(event.target.value), 160);
    });
    byId('search').addEventListener('keydown', (event) => {
      if (event.key === 'Enter') {
        event.preventDefault();
        clearTimeout(timer);
        this.search(event.target.value).then(() => {
          if (this.found) byId('list').querySelector('.row')?.click();
        });
      }
      if (event.key === 'Escape') {
        event.target.value = '';
        this.search('');
      }
    });
  }

  async search(text) {
    const asked = text.trim();
    if (asked.length < 2) {
      this.found = null;
      this.render();
      return;
    }
    const found = await get('search', { restaurant: start.restaurant, date: day.date, q: asked }).catch(() => ({
      bookings: [],
    }));
    if (byId('search').value.trim() !== asked) return;
    this.found = found.bookings;
    if (window.innerWidth <= 820) this.open.view('list');
    this.render();
  }

  render() {
    const bookings = [...day.bookings.values()].filter(here);
    const flagged = bookings.some(wrong);
    if (this.filter === 'attention' && !flagged) this.filter = 'arriving';
    const tab = (name, fits, ...words) =>
      h(
        'button',
        {
          type: 'button',
          'data-filter': name,
          'aria-pressed': String(!this.found && this.filter === name),
          onclick: () => {
            this.filter = name;
            this.found = null;
            byId('search').value = '';
            this.render();
          },
        },
        ...words,
        h('small', {}, String(bookings.filter(fits).length)),
      );
    byId('filters').replaceChildren(...FILTERS.map(([name, fits]) => tab(name, fits, t(name))));
    byId('flagged').replaceChildren(
      flagged ? tab('attention', wrong, h('span', { class: 'flag' }, icon('flag')), t('attention')) : '',
    );
    const fits = this.filter === 'attention' ? wrong : FILTERS.find(([name]) => name === this.filter)[1];
    const shown = this.found ?? bookings.filter(fits).sort((a, b) => a.start - b.start);
    const rows = shown.map((booking) => this.row(booking));
    byId('list').replaceChildren(
      ...(rows.length ? rows : [h('li', { class: 'nothing' }, t(this.found ? 'noMatch' : 'nobody'))]),
    );
  }

  row(booking) {
    const now = tone(booking);
    const other = booking.date !== day.date;
    const quick = { CONFIRMED: ['seat', t('seat')], SEATED: ['complete', t('complete')] }[booking.status];
    return h(
      'li',
      { class: day.selected === booking.id ? 'on' : '' },
      h(
        'button',
        {
          type: 'button',
          class: 'row',
          'data-booking': booking.reference,
          onclick: async () => {
            if (other && !(await this.open.go(booking.date))) return;
            this.open.booking(day.bookings.get(booking.id) ?? booking);
          },
        },
        h(
          'span',
          { class: 'st' },
          h('b', {}, clock.at(booking.start)),
          h('span', { class: `tone-${now}` }, icon(toneIcon(now)), h('span', { class: 'sr' }, toneWord(now))),
        ),
        h(
          'span',
          { class: 'who' },
          flag(booking),
          called(booking),
          booking.notes ? ' ' : '',
          booking.notes ? icon('note') : null,
        ),
        h(
          'span',
          { class: 'sub' },
          h('b', {}, String(booking.party)),
          icon('people'),
          `${t('table')} ${tableNames(booking)}`,
          other
            ? ` · ${dateWords(booking.date, false)}`
            : now === 'late' || now === 'over'
              ? ` · ${toneWord(now)}`
              : booking.status === 'SEATED'
                ? ` · ${t('until', { time: clock.at(endOf(booking)) })}`
                : '',
        ),
      ),
      quick && !other && day.data.may.update
        ? h(
            'button',
            {
              type: 'button',
              class: 'soft quick',
              disabled: Boolean(booking.pending),
              'aria-label': `${quick[1]}: ${called(booking)}`,
              onclick: () => act(booking, quick[0]),
            },
            quick[1],
          )
        : null,
    );
  }
}
