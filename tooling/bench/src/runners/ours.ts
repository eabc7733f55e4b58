/** Our devices: placeholder head, replaced below. */
import { serve } from '../serve.ts';

await serve(() => {
  throw new Error('not built yet');
});
