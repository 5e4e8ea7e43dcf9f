// Sentences in the page's language, from Django's JavaScript catalogue, which the page loads before the modules.

/**
 * @typedef {object} Catalogue
 * @property {(message: string) => string} gettext
 * @property {(singular: string, plural: string, count: number) => string} ngettext
 * @property {(message: string, values: Record<string, unknown>, named: true) => string} interpolate
 */

const { django } = /** @type {{ django: Catalogue }} */ (/** @type {unknown} */ (window));

export const { gettext, ngettext } = django;

/**
 * Fill the `%(name)s` places of a sentence.
 * @param {string} message
 * @param {Record<string, unknown>} values
 */
export const fill = (message, values) => django.interpolate(message, values, true);

/** @param {number} count */
export const coversText = (count) => fill(ngettext('%(count)s cover', '%(count)s covers', count), { count });
