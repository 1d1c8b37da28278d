// The one surface between TypeScript and C++: what the two native files export, written by hand.
// Every call that computes returns a promise for a bounded piece of work. Typed arrays are copied at call time and
// results are copies. A failure rejects with an Error whose `code` is one of NativeErrorCode.
// test/native/binding.test.ts compares the names below with what the addon exports.

/** `code` of every error that the native side raises. */
export type NativeErrorCode =
  | 'BT_ABORTED' // abort() was called, or the runtime was closed, while the call waited or ran
  | 'BT_CLOSED' // the object, or what it stands on, was closed before the call
  | 'BT_ARGUMENT' // an argument has the wrong type, shape or range
  | 'BT_LIBRARY' // dlopen or dlsym failed; the message carries dlerror()
  | 'BT_TENSOR_MISSING' // a weight that the architecture needs is not in the table
  | 'BT_TENSOR_SHAPE' // a weight's shape or dtype is not what the configuration asks for
  | 'BT_TENSOR_OUT_OF_RANGE' // a table entry points outside its file
  | 'BT_TENSOR_RANGE' // a weight holds a value that the type it is to be written as cannot hold
  | 'BT_IO' // a file could not be opened, mapped or read
  | 'BT_OUT_OF_MEMORY' // an allocation failed; the message says what was being allocated where known
  | 'BT_NO_TARGET' // a batch has no scored token
  | 'BT_NATIVE' // anything else that libtorch raised

/** Exports of `bt_native.node`, which links no libtorch. */
export interface Loader {
  /**
   * dlopen()s `paths` in order (RTLD_NOW | RTLD_GLOBAL): libc10.so, libtorch_cpu.so, on GPU hosts libtorch_cuda.so.
   * A path that is already open costs nothing.
   * @returns torch's version as "major.minor", read from `aoti_torch_abi_version()`.
   * @throws BT_LIBRARY with dlerror()
   */
  openLibraries(paths: string[]): string
  /**
   * The same on another thread, while JavaScript goes on: openLibraries() with these paths then costs nothing. Opening
   * libtorch takes some 0.2 s.
   * Rejects with BT_LIBRARY and dlerror().
   */
  openLibrariesAhead(paths: string[]): Promise<void>
  /**
   * Opens libbt_core.so (after openLibraries) and calls its `bt_core_init`.
   * May be called once in each thread of JavaScript.
   * @throws BT_LIBRARY with dlerror()
   */
  openCore(path: string): Core
  /** flock(fd, LOCK_EX | LOCK_NB). @returns false when another process holds the lock. */
  lock(fd: number): boolean
  /** flock(fd, LOCK_UN). */
  unlock(fd: number): void
}

/** Exports of libbt_core.so. */
export interface Core {
  /** What this core was built against and what the processor can do. Synchronous, microseconds. */
  info(): CoreInfo
  /** Starts a runtime: one worker thread with a queue; calls are answered in order. */
  openRuntime(options: RuntimeOptions): Runtime
}

/** The core, the processor and the devices. */
export interface CoreInfo {
  /** torch version the core was compiled against, for instance "2.11.0". */
  torch: string
  /** ATen's own dispatch level: "DEFAULT", "AVX2" or "AVX512". */
  cpuCapability: string
  avx2: boolean
  avx512: boolean
  avx512Bf16: boolean
  amxBf16: boolean
  /** CUDA devices that can be used now; 0 without libtorch_cuda or without a driver. */
  cudaDevices: number
  /** Names of those devices, with memory in bytes. */
  cuda: { name: string; totalMemory: number; capability: string }[]
  /**
   * libbt_cuda beside the core, which serves training on those devices, and why it does not where it cannot be opened
   * (else ''): ATen's operators do its work then. null without a device or without that file.
   */
  cudaKernels: { path: string; problem: string } | null
}

/** A device and its threads. */
export interface RuntimeOptions {
  device: 'cpu' | 'cuda'
  /** Which CUDA device; 0 by default. */
  deviceIndex?: number
  /** OpenMP threads of the worker; 0 takes the default (the cores this process may use). */
  threads: number
}

/** Type that weights are held and multiplied in. */
export type Dtype = 'float32' | 'bfloat16' | 'float16'

/** Element or block type of stored weights: safetensors' names for plain types, GGML's for blocks. */
export type StoredType =
  | 'F32' | 'F16' | 'BF16'
  | 'Q4_0' | 'Q4_1' | 'Q5_0' | 'Q5_1' | 'Q8_0'
  | 'Q2_K' | 'Q3_K' | 'Q4_K' | 'Q5_K' | 'Q6_K'

/** One stored weight. Names are Hugging Face's: "model.layers.0.self_attn.q_proj.weight", "lm_head.weight". */
export interface TensorEntry {
  name: string
  type: StoredType
  /** Row-major, outermost first: [out, in] for a linear layer. */
  shape: number[]
  /** Index into `files`. */
  file: number
  /** Bytes from the start of that file. */
  offset: number
  byteLength: number
  /**
   * When set, the rows are stored for interleaved rotary embedding (GGUF, llama2.c) in that many heads,
   * and are permuted to Hugging Face's rotate-half order on load.
   */
  interleavedHeads?: number
}

/** How the frequencies of rotary embedding are stretched for longer texts. */
export interface RopeScaling {
  type: 'linear' | 'llama3'
  factor: number
  /** llama3 only. */
  lowFreqFactor?: number
  highFreqFactor?: number
  originalMaxPositions?: number
}

/** The decoder's shape. Families differ by the flags alone. */
export interface ModelConfig {
  family: 'llama' | 'mistral' | 'qwen2' | 'qwen3'
  vocabSize: number
  hiddenSize: number
  intermediateSize: number
  layers: number
  heads: number
  kvHeads: number
  headDim: number
  rmsNormEps: number
  ropeTheta: number
  ropeScaling?: RopeScaling
  /** Biases on q, k and v (Qwen2). */
  qkvBias: boolean
  /** Bias on o (Llama with attention_bias). */
  outBias: boolean
  /** Biases on gate, up and down (Llama with mlp_bias). */
  mlpBias: boolean
  /** RMS norm over each head of q and k (Qwen3). */
  qkNorm: boolean
  tieWordEmbeddings: boolean
  /** Keys further back than this are not attended; 0 for full attention. */
  slidingWindow: number
  maxPositions: number
}

/** A model: its shape, its files, and where each weight lies in them. */
export interface LoadModelOptions {
  config: ModelConfig
  files: string[]
  tensors: TensorEntry[]
  /** Type the frozen weights are held and multiplied in. */
  dtype: Dtype
  /**
   * Reads the weights when something first needs them as they are: a trainer, scores, a sampler by ATen's operators. Other
   * samplers read theirs from the files and pack them, so that a process which only samples holds them once.
   */
  lazy?: boolean
}

/** What a weight can be written as. */
export type ExportType = 'F32' | 'F16' | 'BF16' | 'Q8_0' | 'Q4_0'

/** A stored weight, what is added to it, and what it becomes. */
export interface ExportTensorOptions {
  /** The file that holds the weight. */
  path: string
  /**
   * Where it lies there (`tensor.file` is not looked at). Some rows of a matrix may be given as a tensor of their own:
   * whole rotary heads of them where the rows are interleaved.
   */
  tensor: TensorEntry
  type: ExportType
  /** When set, rows are written for interleaved rotary embedding (GGUF) in that many heads. */
  interleavedHeads?: number
  /** W + scale * B A, FP32: `a` is [r, in], `b` is [out, r]. */
  update?: { scale: number; r: number; a: Float32Array; b: Float32Array }
}

/** The projections of a decoder layer that an adapter may change. */
export type TargetModule = 'q_proj' | 'k_proj' | 'v_proj' | 'o_proj' | 'gate_proj' | 'up_proj' | 'down_proj'

/** An adapter, in PEFT's terms. */
export interface LoraOptions {
  r: number
  /** Scale of the update is alpha / r (or alpha / sqrt(r) with rsLora). */
  alpha: number
  rsLora?: boolean
  targets: TargetModule[]
  /** Probability that an input feature of A is zeroed in training. */
  dropout: number
  /** A is Kaiming-uniform(sqrt 5) from this seed, B is zero: PEFT's initialisation. */
  seed: number
  /** Trained tensors to start from, in place of the initialisation: all of them, named as LoraTensor says. */
  tensors?: LoraTensor[]
}

/** One LoRA matrix, FP32, row-major. */
export interface LoraTensor {
  /** "layers.3.self_attn.q_proj.lora_A" ([r, in]) or "...lora_B" ([out, r]). */
  name: string
  shape: [number, number]
  data: Float32Array
}

/**
 * Rows laid end to end, never padded. T tokens, n rows, S scored tokens.
 * Token indices are into `tokens`; the first token of a row cannot be scored.
 */
export interface PackedBatch {
  /** [T] token ids. */
  tokens: Int32Array
  /** [n + 1] start of each row, then T. */
  cuSeqlens: Int32Array
  /** [S] ascending indices of the tokens to be predicted. */
  scored: Int32Array
  /** [n] row ids: feed dropout's randomness, and appear in messages. */
  rows: Int32Array
}

/** Optimizer, precision and engine of a trainer. */
export interface TrainerOptions {
  /** 'fp16' adds the gradient scaler; LoRA weights, gradients and moments are FP32 in all three. */
  precision: 'fp32' | 'bf16' | 'fp16'
  beta1: number
  beta2: number
  eps: number
  weightDecay: number
  /** Gradients are scaled down to this L2 norm; 0 leaves them. */
  maxGradNorm: number
  /** Feeds dropout. */
  seed: number
  /**
   * 'fused', the default, is the hand-written layer, by the kernels of the device; 'aten' the same layer by libtorch's
   * operators alone, as on GPUs without libbt_cuda; 'reference' plain autograd.
   */
  engine?: 'fused' | 'aten' | 'reference'
  /**
   * 'auto' pads batches to a few sizes and replays each as CUDA graphs, where the device is a GPU with libbt_cuda and flash
   * attention; 'padded' pads on any device and captures nothing. Losses and gradients are those of the batch as it is.
   */
  graphs?: 'auto' | 'off' | 'padded'
  /**
   * Keeps of each layer its input alone and computes the rest again in backward: less memory, one more forward, the same
   * gradients. Refused (BT_ARGUMENT) with the 'reference' engine.
   */
  recompute?: boolean
  /** First FP16 loss scale; 65536 by default. */
  initialScale?: number
  /** Clean steps before the scale doubles; 2000 by default. */
  growthInterval?: number
}

/** What changes from step to step. */
export interface StepOptions {
  learningRate: number
  /** Optimizer step number, from 1; feeds dropout. */
  step: number
}

/** One optimizer step. */
export interface StepResult {
  /** Nats per scored token, over the whole optimizer step. */
  loss: number
  /** Scored tokens of the step. */
  scoredTokens: number
  /** All tokens of the step. */
  tokens: number
  /** L2 before clipping; Infinity or NaN when the step was skipped. */
  gradNorm: number
  /** FP16 loss scale after the step; 1 in other precisions. */
  scale: number
  /** A gradient overflowed: weights untouched, scale halved (fp16), or not finite (fp32, bf16). */
  skipped: boolean
  milliseconds: number
}

/** Where a step's numbers stopped being finite. */
export interface NotFinite {
  /** A LoRA weight, the hidden states that leave a layer, the loss of a row, or a LoRA gradient of a row alone. */
  what: 'weight' | 'hidden' | 'loss' | 'gradient'
  /** -1: the embedding; the number of layers: what follows the last one. */
  layer: number
  /** Row id; absent for a weight. */
  row?: number
  /** Name of the LoRA matrix, for weights and gradients. */
  tensor?: string
}

/** Everything beside the LoRA weights that the next step depends on. */
export interface TrainerState {
  /** Optimizer steps applied (skipped ones not counted): AdamW's bias correction. */
  optimizerStep: number
  scale: number
  growthTracker: number
  /** [P] first and second moments, in the order of lora.tensors(). */
  expAvg: Float32Array
  expAvgSq: Float32Array
}

/**
 * In transformers' order: bias, penalties, temperature, then top-k, top-p, min-p and typical-p. Greedy takes the likeliest
 * token after bias and penalties.
 */
export interface SamplingOptions {
  /** 0 is greedy. */
  temperature: number
  /** 0 keeps all. */
  topK: number
  /** 1 keeps all. */
  topP: number
  /** 0 keeps all. */
  minP: number
  /** 1, the default, keeps all: those whose surprise is nearest to the entropy, until they have this mass. */
  typicalP?: number
  /** 1 changes nothing; applies to prompt and output tokens, as in transformers. */
  repetitionPenalty: number
  /** Taken once off the logit of each token of the output; 0 by default. */
  presencePenalty?: number
  /** Taken off the logit of a token as often as it stands in the output; 0 by default. */
  frequencyPenalty?: number
  /** No n-gram of so many tokens comes a second time in prompt and output; 0, the default, lets them. */
  noRepeatNgram?: number
  /** What is added to the logits of some tokens. */
  logitBias?: { token: number; bias: number }[]
  seed: number
}

export interface SamplerOptions extends SamplingOptions {
  /** Sequences decoded side by side. */
  maxSequences: number
  /** Longest prompt plus output of one sequence, in tokens. */
  maxTokens: number
  /** Tokens that end a sequence. */
  stopTokens: number[]
  /** Texts that end a sequence as soon as its bytes hold one. */
  stopTexts?: StopTexts
  /**
   * 'auto' is the engine made for CPUs where the model is on one in FP32 or BF16: a row's tokens have the same bits alone
   * and in any batch. 'aten', and 'auto' elsewhere, uses ATen's operators, on any device.
   */
  engine?: 'auto' | 'aten'
  /**
   * How weights are held: in the model's type, in blocks of 32 of 8 or of 4 bits with a scale each (GGML's Q8_0 and Q4_0;
   * embedding and head have 8 at least). A GGUF's own such blocks are taken as they are. Not by ATen's operators.
   */
  weights?: 'model' | 'int8' | 'int4'
  /**
   * Multiplies the adapter beside the base, which samplers with other adapters then share. By default it is added to the
   * weights, as it is when the sampler is made: in FP32, rounded once.
   */
  keepAdapter?: boolean
  /**
   * Bytes for keys and values at most; 0, the default, takes what maxSequences sequences may need, but no more than half of
   * the memory that is free. A prompt waits until it finds room. Memory comes with use. Not by ATen's operators.
   */
  cacheBytes?: number
  /**
   * Tokens proposed at a time by what followed the same words before (prompt lookup); the output is the same. 0: none. By
   * default some where few sequences run, which is where it is faster.
   */
  lookup?: number
}

/** Texts that end a sequence, with the bytes of every token to look for them in. */
export interface StopTexts {
  texts: string[]
  /** The bytes that each token adds to a text, end to end. */
  bytes: Uint8Array
  /** [vocab + 1] where each token's begin in `bytes`, then their number. */
  tokenStart: Int32Array
}

/** A prompt to be completed. */
export interface SamplerPrompt {
  /** Row id: its randomness is a function of (seed, id, position) alone. */
  id: number
  tokens: Int32Array
  maxNewTokens: number
  /** In place of the sampler's. */
  temperature?: number
}

/** A sequence that has ended. */
export interface Finished {
  id: number
  /** Generated tokens without the stop token; those that completed a stop text are in it. */
  tokens: Int32Array
  /** Log-probability of each generated token (the stop token's last, if one ended it), under the untempered model. */
  logProbs: Float32Array
  /** 'not-finite': the logits became NaN or infinite; the tokens until then stand. */
  reason: 'stop' | 'length' | 'not-finite'
}

/** What one call of advance() did. */
export interface AdvanceResult {
  finished: Finished[]
  /** Sequences still running. */
  active: number
  /** Prompts not yet admitted. */
  waiting: number
  /** Tokens generated by this call. */
  generated: number
  /** Tokens that went through the model in this call; prompts' openings that were there already do not count. */
  computed: number
  /** Tokens proposed by lookup, and those of them that were what the model chose. */
  proposed: number
  taken: number
  milliseconds: number
}

/** Memory of the process and of the device. */
export interface MemoryInfo {
  /** Bytes of resident memory (VmRSS) now and at its peak (VmHWM). */
  resident: number
  peakResident: number
  /** Bytes of weights held by loaded models, mapped ones included. */
  weights: number
  /** CUDA: bytes allocated now and at the peak; 0 on CPU. */
  deviceAllocated: number
  devicePeak: number
}

/** A worker thread on one device; its calls are answered in order. */
export interface Runtime {
  /** Reads the weights of a model and converts them. BT_TENSOR_* where table, files and shape do not fit. */
  loadModel(options: LoadModelOptions): Promise<Model>
  /**
   * Reads one weight in FP32, adds the update, and rounds once.
   * @returns the bytes that `type` stores it in, row-major: GGML's blocks for Q8_0 and Q4_0. BT_TENSOR_RANGE when a
   * value is beyond the type, BT_TENSOR_SHAPE when the update does not fit or a row is not whole blocks
   */
  exportTensor(options: ExportTensorOptions): Promise<Uint8Array>
  /** What is held now, and the peaks so far. */
  memory(): Promise<MemoryInfo>
  /** A GEMM of this dtype, timed for about 50 ms: TFLOP/s. */
  measureGemm(dtype: Dtype): Promise<number>
  /** How fast all threads together read memory that no cache holds: GB/s, the best of a few rounds of half a gigabyte. */
  measureBandwidth(): Promise<number>
  /** Makes every waiting call, and the running one between two layers, reject with BT_ABORTED. Later calls run. */
  abort(): void
  /** Aborts, waits for the worker, frees everything opened from this runtime. Idempotent. */
  close(): Promise<void>
}

/** Frozen weights on a device. */
export interface Model {
  /** Adds trainable low-rank updates. Several may be attached to one model; each call names the one it uses. */
  attachLora(options: LoraOptions): Promise<Lora>
  /** A trainer of this adapter, its moments at zero. */
  createTrainer(lora: Lora, options: TrainerOptions): Promise<Trainer>
  /** With `lora`, samples from the adapted model. */
  createSampler(options: SamplerOptions, lora?: Lora): Promise<Sampler>
  /** [S] log p of each scored token given what stands before it in its row, nats. */
  logProbs(batch: PackedBatch, lora?: Lora): Promise<Float32Array>
  /** [S * vocab] FP32 logits that predict each scored token: for tests and export checks. */
  logits(batch: PackedBatch, lora?: Lora): Promise<Float32Array>
  /**
   * [n * hidden] FP32: of each row the mean over its tokens of the final hidden states, after the last norm. What is scored
   * plays no part.
   */
  hiddenStates(batch: PackedBatch, lora?: Lora): Promise<Float32Array>
  /** Frees it after the calls made so far. Idempotent. */
  close(): Promise<void>
}

/** A low-rank adapter of one model. */
export interface Lora {
  /** Copies of all matrices: for each layer, for each target in the order of the forward pass (q k v o gate up down), A then B. */
  tensors(): Promise<LoraTensor[]>
  /** Replaces all matrices. */
  load(tensors: LoraTensor[]): Promise<void>
  /** Frees it after the calls made so far. Idempotent. */
  close(): Promise<void>
}

/** Steps of AdamW over one adapter. */
export interface Trainer {
  /**
   * Forward and backward over every micro-batch, then one AdamW step. The loss is the sum over scored tokens
   * divided by the scored tokens of the whole step, so how rows fall into micro-batches does not matter.
   */
  step(microBatches: PackedBatch[], options: StepOptions): Promise<StepResult>
  /** As step(), but leaves weights and optimizer alone. @returns gradients named like the weights. */
  gradients(microBatches: PackedBatch[], options: StepOptions): Promise<{ loss: number; tensors: LoraTensor[] }>
  /** No dropout, no gradient. @returns the sum of the loss over scored tokens in nats, and their number. */
  evaluate(batch: PackedBatch): Promise<{ lossSum: number; scoredTokens: number }>
  /**
   * The first thing of this step that is not finite, in the order of its computation, or null. Weights and optimizer
   * stay as they are. Takes several times as long as the step.
   */
  diagnose(microBatches: PackedBatch[], options: StepOptions): Promise<NotFinite | null>
  /**
   * Bytes of what is kept from step to step beside weights, adapter and moments, by name ("gateUp", "logits"), all layers
   * together; empty for the 'reference' engine, which keeps nothing.
   */
  buffers(): Promise<Record<string, number>>
  /** A copy of what the next step depends on beside the adapter. */
  state(): Promise<TrainerState>
  /** Puts a state back. BT_ARGUMENT where its sizes are not those of the adapter. */
  restore(state: TrainerState): Promise<void>
  /** Frees it after the calls made so far. Idempotent. */
  close(): Promise<void>
}

/** Sequences decoded side by side. */
export interface Sampler {
  /** Queues prompts; they are admitted in order, as soon as a sequence ends and room is free. */
  add(prompts: SamplerPrompt[]): Promise<void>
  /** Up to `steps` passes. Each takes in prompts that fit and gives every running sequence a token (by lookup: or some). */
  advance(steps: number): Promise<AdvanceResult>
  /**
   * [S] log p of each scored token given what stands before it in its row, nats, under the sampler's weights and adapter.
   * What rows begin with in common is computed once. BT_ARGUMENT for a row longer than the cache.
   */
  logProbs(batch: PackedBatch): Promise<Float32Array>
  /** Frees it after the calls made so far. Idempotent. */
  close(): Promise<void>
}
