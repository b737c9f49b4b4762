/** The page, from the verdict down to the tables of the database. */

import { CandidatesSection } from "./candidates";
import { DatabaseSection } from "./database";
import { Glance } from "./glance";
import { Away, Header } from "./header";
import { MachineSection } from "./machine";
import { RefusedSection } from "./refused";
import { SilentSection } from "./silent";

export function PageOfOperators() {
  return (
    <>
      <Header />
      <main class="sections">
        <Away />
        <Glance />
        <SilentSection />
        <RefusedSection />
        <CandidatesSection />
        <MachineSection />
        <DatabaseSection />
      </main>
    </>
  );
}
