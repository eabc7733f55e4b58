/** The text that ships with the repository, its own documentation, in plain characters. */
import { repositoryText } from 'app-support';

/** Rare signs would only blow the vocabulary up. */
const plain = (text: string): string =>
  text.replace(/[^\n\x20-\x7e]/g, (c) =>
    c === '\t' ? ' ' : c === '’' ? "'" : c === '–' || c === '—' ? '-' : c === '…' ? '...' : '',
  );

/** The documentation of this repository as one text. */
export const documentationText = (): string => plain(repositoryText());
