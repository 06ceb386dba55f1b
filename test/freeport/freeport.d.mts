/** Resolves to n different ports on which nothing listens, and which no process that lives has got from here before. */
export function freePorts(n: number): Promise<number[]>;
