/** The login of the processes under test. */
export const testLogin = { name: 'ubos', password: 'only-for-tests' }
