import type { Format } from 'ajv'

export declare const formats: Record<string, Format>
export declare function isMultipleOf(value: number, step: number): boolean
