/** The file of a converted model: a resumable writer, a reader that distrusts what it reads. */
export { type ModelFilePlan, type TensorPlan, VERSION } from './format.ts';
export { createModelFile, type CreateOptions, type ModelFileWriter } from './writer.ts';
export {
  type AttachmentRecord,
  type ModelFile,
  openModelFile,
  type OpenOptions,
  readAttachment,
  readModelHeader,
  readTextAttachment,
  type TensorRecord,
  type Verify,
  verifyModelFile,
} from './reader.ts';
