import { Ajv2020 } from 'ajv/dist/2020.js'
import ajvFormats from 'ajv-formats'
import { expect, test } from 'vitest'
import { schemaOf } from '#events/schema.ts'
import { eventTypes } from '#generated/events.ts'

test('the schema of each event type stands alone and accepts its example', () => {
  for (const [type, { example }] of Object.entries(eventTypes)) {
    const ajv = new Ajv2020({ strict: false })
    ajvFormats.default(ajv)
    const validate = ajv.compile(schemaOf(type) ?? false)
    expect(validate(example), `${type}: ${ajv.errorsText(validate.errors)}`).toBe(true)
    expect(validate({ ...(example as object), type: 'other.type' }), type).toBe(false)
  }
})
