import { randomBytes } from 'node:crypto'
import { keyring } from './secrets/fixture.ts'
import { newApiKey, readApiKey } from '#secrets/token.ts'
import { sealCursor, openCursor } from '#secrets/cursor.ts'
import { createSeal } from '#secrets/seal.ts'
import { signatureHeaders, newSigningSecret } from '#secrets/signature.ts'
import { judgeUrl } from '#egress/address.ts'
const s = createSeal(keyring, randomBytes); const place={tenantId:'t',table:'a',rowId:'b',column:'c'}; const sealed=s.seal(place,'whsec_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx')
const k = newApiKey(keyring,'live',randomBytes).key; const bad=k.slice(0,-1)+(k.endsWith('A')?'B':'A')
const c = sealCursor(keyring,'ten_1 list',['2026-01-01T00:00:00Z','cli_01j']); const sec=newSigningSecret(randomBytes); const body=Buffer.alloc(1024,'x')
const bench=(n:string,f:()=>unknown)=>{for(let i=0;i<20000;i++)f();const a:number[]=[];for(let r=0;r<9;r++){const t=performance.now();for(let i=0;i<20000;i++)f();a.push((performance.now()-t)/20)};console.log(n.padEnd(28),(a.sort((x,y)=>x-y)[4]??0).toFixed(2),'µs, best',(a[0]??0).toFixed(2))}
bench('readApiKey good',()=>readApiKey(keyring,k)); bench('readApiKey well-formed junk',()=>readApiKey(keyring,bad)); bench('readApiKey junk',()=>readApiKey(keyring,'ubk_live_junk'))
bench('newApiKey',()=>newApiKey(keyring,'live',randomBytes)); bench('seal',()=>s.seal(place,'whsec_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx')); bench('open',()=>s.open(place,sealed))
bench('sealCursor',()=>sealCursor(keyring,'ten_1 list',['2026-01-01T00:00:00Z','cli_01j'])); bench('openCursor',()=>openCursor(keyring,'ten_1 list',c)); bench('signatureHeaders 1 KB',()=>signatureHeaders({id:'evt_1',timestampSeconds:1,body,secrets:[sec]}))
bench('judgeUrl',()=>judgeUrl('https://hooks.example.com/a/b',{allowLoopback:false,httpsOnly:true}))
