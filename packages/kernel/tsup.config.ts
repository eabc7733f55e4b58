export { default } from '../../tooling/build/src/tsup.ts'
