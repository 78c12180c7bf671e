export * from './disputes.ts'
export * from './payments.ts'
export * from './refunds.ts'
