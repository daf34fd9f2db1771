import { suite } from './lib/suite.mjs';
import { WebKit } from './lib/webkit.mjs';

suite(WebKit);
