// A typedoc plugin: modules under the names by which they are imported (`@proj/tensor/io`, not `tensor/src/io`).
import { Converter, ReflectionKind } from 'typedoc';

export function load({ converter }) {
  converter.on(Converter.EVENT_CREATE_DECLARATION, (_context, reflection) => {
    if (reflection.kindOf(ReflectionKind.Module)) reflection.name = `@proj/${reflection.name.replace('/src', '')}`;
  });
}
