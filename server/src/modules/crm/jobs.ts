import { defineJob } from '../../platform/jobs.ts'
import { closeResolvedCases } from './usecases/move-case.ts'

export const jobs = [defineJob('close-resolved-cases', '17 * * * *', closeResolvedCases)]
