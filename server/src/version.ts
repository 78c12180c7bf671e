/** Of the product; a release raises it here and in the packages. */
export const productVersion = '0.1.0'
