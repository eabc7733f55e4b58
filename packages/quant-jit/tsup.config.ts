export { default } from '@proj/build';
