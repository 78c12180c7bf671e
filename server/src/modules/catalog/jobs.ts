import { defineJob, type Job } from '../../platform/jobs.ts'
import { sweepWords } from './usecases/search-words.ts'

export const jobs: readonly Job[] = [defineJob('catalog.sweep_words', '17 3 * * *', sweepWords)]
